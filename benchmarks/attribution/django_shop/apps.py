"""The shop as an app, for packages that need set-up by hand."""

from __future__ import annotations

from django.apps import AppConfig

from benchmarks.attribution.set_up import instrument_django


class ShopConfig(AppConfig):
    name = "benchmarks.attribution.django_shop"

    def ready(self):
        instrument_django()
