"""Stresses a sampler with everything that could make it crash, hang or misreport."""
