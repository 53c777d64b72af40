"""The settings of the shop."""

from benchmarks.attribution.set_up import set_up_django

SECRET_KEY = "a benchmark's"  # noqa: S105  not a secret
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "benchmarks.attribution.django_shop.urls"
WSGI_APPLICATION = "benchmarks.attribution.django_shop.wsgi.application"
INSTALLED_APPS = []
MIDDLEWARE = []

set_up_django(globals())
