"""A minimal django-helpdesk as a program of its own: ``migrate`` makes the database, ``serve`` answers on a free port.

It reads its folder from DESK_FOLDER and prints one line of JSON when it is ready.
"""

import json
import os
import sys
from pathlib import Path

FOLDER = Path(os.environ["DESK_FOLDER"])
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["127.0.0.1"]
USE_TZ = True
TIME_ZONE = "UTC"
SITE_ID = 1
ROOT_URLCONF = "desk_urls"
STATIC_URL = "/static/"
MEDIA_ROOT = str(FOLDER / "media")
LOGIN_URL = "/login/"
EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = str(FOLDER / "mails")
HELPDESK_ACTIVATE_API_ENDPOINT = True
HELPDESK_TEAMS_MODE_ENABLED = False
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(FOLDER / "desk.sqlite3"),
        "OPTIONS": {"timeout": 20},
    }
}
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.sites",
    "django.contrib.humanize",
    "django.contrib.admin",
    "django.contrib.messages",
    "rest_framework",
    "rest_framework.authtoken",
    "helpdesk",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.TokenAuthentication"]}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def migrate() -> None:
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from helpdesk.models import CustomField, Queue
    from rest_framework.authtoken.models import Token

    call_command("migrate", verbosity=0)
    queue = Queue.objects.create(title="Support", slug="support", email_address="support@desk.test")
    CustomField.objects.create(name="tags", label="Tags", data_type="text", required=False, ordering=1)
    tokens = {}
    for name in ("bot", "ann"):
        user = User.objects.create_user(name, f"{name}@desk.test", "x", is_staff=True, is_superuser=True)
        tokens[name] = {"id": user.pk, "token": Token.objects.create(user=user).key}
    print(json.dumps({"queue": queue.pk, "users": tokens}), flush=True)  # noqa: T201 - what the test waits for


def serve() -> None:
    from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
    from django.core.wsgi import get_wsgi_application

    server = ThreadedWSGIServer(("127.0.0.1", 0), WSGIRequestHandler)
    server.set_app(get_wsgi_application())
    print(json.dumps({"port": server.server_port}), flush=True)  # noqa: T201 - what the test waits for
    server.serve_forever()


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "desk_site"
    sys.path.insert(0, str(Path(__file__).parent))
    import django

    django.setup()
    {"migrate": migrate, "serve": serve}[sys.argv[1]]()
