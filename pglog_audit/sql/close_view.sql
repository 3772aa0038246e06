-- From 15 on: a view shows what the privileges and policies of who reads it allow.
ALTER VIEW {view} SET (security_invoker = true)
