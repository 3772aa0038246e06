"""Middlewares, filters and extensions for the frameworks that people run; none of them imports its framework."""
