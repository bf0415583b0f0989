"""What we know: articles, the encoder that reads them, and search."""

from deskhand_memory.articles import Article, load_articles
from deskhand_memory.encoder import MiniLmEncoder, load_encoder
from deskhand_memory.ingest import IngestReport
from deskhand_memory.knowledge import Knowledge

__all__ = ["Article", "IngestReport", "Knowledge", "MiniLmEncoder", "load_articles", "load_encoder"]
