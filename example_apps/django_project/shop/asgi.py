"""For ASGI servers: `uvicorn --app-dir example_apps/django_project shop.asgi:application`."""

import os

# Replaces Django's function, to upload the last samples when the server stops.
from pyroscope_otel_django.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

application = get_asgi_application()
