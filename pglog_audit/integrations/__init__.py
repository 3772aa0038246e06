"""Middlewares and extensions for the frameworks that people run; who has no such framework needs none of them."""
