"""The Flask extension: profiles and traces of an application, linked."""
