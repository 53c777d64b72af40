"""A sampler under everything that may speak against it: does it crash, hang or misreport?"""
