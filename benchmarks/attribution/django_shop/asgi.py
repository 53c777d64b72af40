"""The shop as an ASGI application."""

import os

from benchmarks.attribution.set_up import django_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.attribution.django_shop.settings")
application = django_asgi_application()
