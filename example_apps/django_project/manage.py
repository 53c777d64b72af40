"""A Django shop that renders invoices and streams a price list.

Start it with `python example_apps/django_project/manage.py runserver`, and open
http://localhost:8000/invoice/7/. Its profiles go to PYROSCOPE_SERVER_ADDRESS, by
default http://localhost:4040, and its traces to OTEL_EXPORTER_OTLP_ENDPOINT, by
default nowhere.
"""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
    execute_from_command_line(sys.argv)
