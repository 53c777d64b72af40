"""The project's settings. What links profiles and traces are the lines with pyroscope."""

import os

DEBUG = True
# For an example on one machine. A real one is kept secret.
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

# What is not here comes from the environment, such as PYROSCOPE_SERVER_ADDRESS.
PYROSCOPE = {"APPLICATION_NAME": "django-shop"}

ROOT_URLCONF = "shop.urls"
STATIC_URL = "static/"
USE_TZ = True
