"""The project's settings. The lines with "pyroscope" link profiles and traces."""

import os

DEBUG = True
# Only for this example. Keep a real key secret.
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "not-a-secret")
ALLOWED_HOSTS = ["*"]

INSTALLED_APPS = [
    "django.contrib.staticfiles",
    "pyroscope_otel_django",
]

MIDDLEWARE = [
    "pyroscope_otel_django.middleware.PyroscopeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
]

# Other settings come from the environment, such as PYROSCOPE_SERVER_ADDRESS.
PYROSCOPE = {"APPLICATION_NAME": "django-shop"}

ROOT_URLCONF = "shop.urls"
STATIC_URL = "static/"
USE_TZ = True
