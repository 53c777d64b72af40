"""The project's URLs."""

from django.urls import path

from shop import views

urlpatterns = [
    path("invoice/<int:number>/", views.invoice),
    path("search/<word>/", views.search),
    path("prices/", views.prices),
]
