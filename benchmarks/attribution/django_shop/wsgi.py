"""The shop as a WSGI application."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.attribution.django_shop.settings")
application = get_wsgi_application()
