-- Act as another role until the transaction ends.
SET LOCAL ROLE {role}
