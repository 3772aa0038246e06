-- The demo site's role: it may log in, and later what init grants it.
CREATE ROLE {writer} LOGIN PASSWORD {password}
