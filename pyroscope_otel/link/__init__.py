"""Links samples with root spans: finds out which request running code belongs to, and marks it."""
