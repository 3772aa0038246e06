"""Middlewares, filters and extensions for what people run; who has no such framework needs none of them."""
