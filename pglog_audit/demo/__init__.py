"""A small events site that audits itself, the private database under it, and the requests that show it."""
