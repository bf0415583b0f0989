from deskhand.remembering import remembering


def test_short_texts_are_worked_on_once_and_the_oldest_are_forgotten():
    asked = []

    @remembering(n_texts=2, longest=5)
    def measure(text):
        """Return how long it is."""
        asked.append(text)
        return len(text)

    assert [measure(text) for text in ("one", "one", "three", "longer", "longer")] == [3, 3, 5, 6, 6]
    assert asked == ["one", "three", "longer", "longer"]
    assert [measure("four"), measure("one")] == [4, 3]
    assert asked[4:] == ["four", "one"]
    assert measure.__name__ == "measure" and measure.__doc__ == "Return how long it is."
