-- The demo site's role, gone; nothing that it had privileges on may be left.
DROP ROLE {writer}
