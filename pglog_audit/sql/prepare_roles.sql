-- What makes the table's owner: its role, its right to make tables in the schema, and this session acting as it.
SET LOCAL pglog_audit.schema = {schema};
SET LOCAL pglog_audit.owner = {owner};
SET LOCAL pglog_audit.operator = {operator};
SET LOCAL pglog_audit.users = {users};
SET LOCAL pglog_audit.view = {view};
SET LOCAL pglog_audit.retained = {retained};
SET LOCAL pglog_audit.lent = 'off';
DO $roles$
DECLARE
    version integer := current_setting('server_version_num');
    -- From 16 on a member need not be able to act as the role.
    acting text := CASE WHEN version >= 160000 THEN 'SET' ELSE 'MEMBER' END;
    visible text := (SELECT coalesce(string_agg(quote_ident(name), ', '), '') FROM unnest(current_schemas(false)) AS name);
    events regclass := to_regclass(current_setting('pglog_audit.events'));
    holder oid := (SELECT relowner FROM pg_class WHERE oid = events);
    -- Who owned it before, if the table alone was given away: the guards' function did not go with it.
    former oid := (
        SELECT proowner
        FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
        WHERE tgrelid = events AND tgname = 'refuse_change'
    );
    named text := nullif(current_setting('pglog_audit.owner'), '');
    owner text := coalesce(named, pg_get_userbyid(holder), current_user);
    operator text := nullif(current_setting('pglog_audit.operator'), '');
    namespace text := coalesce(
        (SELECT nspname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE pg_class.oid = events),
        nullif(current_setting('pglog_audit.schema'), ''),
        current_schema()
    );
    outside text[] := ARRAY(
        SELECT DISTINCT name
        FROM unnest(current_setting('pglog_audit.users')::text[]) AS name
        WHERE NOT has_schema_privilege(name, namespace, 'USAGE')
    );
    opens boolean := has_schema_privilege(current_user, namespace, 'USAGE WITH GRANT OPTION');
    is_superuser boolean;
    makes_roles boolean;
    is_there boolean := EXISTS (SELECT FROM pg_roles WHERE rolname = owner);
    owner_is_superuser boolean := coalesce((SELECT rolsuper FROM pg_roles WHERE rolname = owner), false);
    acts boolean := false;
    gives boolean := true;
    statement text;
BEGIN
    SELECT rolsuper, rolsuper OR rolcreaterole INTO is_superuser, makes_roles FROM pg_roles WHERE rolname = current_user;
    IF is_there THEN
        acts := pg_has_role(current_user, owner, acting);
        gives := is_superuser
            OR pg_has_role(current_user, owner, 'MEMBER WITH ADMIN OPTION')
            OR (version < 160000 AND makes_roles AND NOT owner_is_superuser);
    ELSIF NOT makes_roles THEN
        RAISE EXCEPTION 'there is no role %, and % may not make it: who may runs CREATE ROLE % NOLOGIN, then init again',
            owner, current_user, quote_ident(owner) USING ERRCODE = 'insufficient_privilege';
    END IF;

    -- All that could be refused is asked first, so that it is told in words that help.
    IF named IS NOT NULL AND NOT (acts OR gives) THEN
        RAISE EXCEPTION '% may not act as %: who may grant it runs GRANT % TO %, then init again',
            current_user, owner, quote_ident(owner), quote_ident(current_user) USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF named <> pg_get_userbyid(holder) AND NOT pg_has_role(current_user, holder, 'USAGE') THEN
        RAISE EXCEPTION '% belongs to %, and % may not give it away: connect as %, or as a superuser',
            events, pg_get_userbyid(holder), current_user, pg_get_userbyid(holder) USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF named IS NOT NULL AND NOT (
        has_schema_privilege(current_user, namespace, 'CREATE WITH GRANT OPTION')
        OR (is_there AND has_schema_privilege(owner, namespace, 'CREATE') AND has_schema_privilege(owner, namespace, 'USAGE'))
    ) THEN
        RAISE EXCEPTION '% may not let % make tables in schema %: who owns it runs GRANT USAGE, CREATE ON SCHEMA % TO %, then init again',
            current_user, owner, namespace, quote_ident(namespace), quote_ident(owner) USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF outside <> '{{}}' AND NOT (
        opens OR (is_there AND has_schema_privilege(owner, namespace, 'USAGE WITH GRANT OPTION'))
    ) THEN
        RAISE EXCEPTION '% may not let % into schema %: who owns it runs GRANT USAGE ON SCHEMA % TO %, then init again',
            current_user, array_to_string(outside, ' and '), namespace, quote_ident(namespace),
            (SELECT string_agg(quote_ident(name), ', ') FROM unnest(outside) AS name) USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF operator IS NOT NULL AND owner_is_superuser AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = operator) THEN
        RAISE EXCEPTION '% would be a superuser with %, who owns the table: give --owner a role that is none', operator, owner
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF is_there AND operator <> owner AND NOT owner_is_superuser AND pg_has_role(owner, operator, 'MEMBER') THEN
        RAISE EXCEPTION '% is a member of %, as who made a role is: give --owner a role of its own', owner, operator
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF operator IS NOT NULL AND NOT gives AND NOT pg_has_role(operator, owner, acting) THEN
        RAISE EXCEPTION '% may not let % act as %: who may grant it runs GRANT % TO %, then init again',
            current_user, operator, owner, quote_ident(owner), quote_ident(operator) USING ERRCODE = 'insufficient_privilege';
    END IF;

    IF NOT is_there THEN
        EXECUTE format('CREATE ROLE %I NOLOGIN', owner);
    END IF;
    IF opens THEN
        -- Now: the owner may enter the schema and make tables there, but need not be able to let others in.
        FOR statement IN SELECT format('GRANT USAGE ON SCHEMA %I TO %I', namespace, name) FROM unnest(outside) AS name LOOP
            EXECUTE statement;
        END LOOP;
    END IF;
    IF named IS NOT NULL THEN
        IF NOT pg_has_role(current_user, owner, acting) THEN
            EXECUTE format('GRANT %I TO CURRENT_USER', owner);
            SET LOCAL pglog_audit.lent = 'on';
        END IF;
        IF NOT (has_schema_privilege(owner, namespace, 'CREATE') AND has_schema_privilege(owner, namespace, 'USAGE')) THEN
            EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO %I', namespace, owner);
        END IF;
        FOR statement IN
            SELECT format('ALTER %s %s OWNER TO %I', kind, name, owner)
            FROM (
                SELECT 'TABLE', relid::regclass::text, relowner
                FROM pg_partition_tree(events) JOIN pg_class ON oid = relid
                UNION
                -- It outlives its table. One that somebody else put there is left to its owner, and stops the rest.
                SELECT 'TABLE', oid::regclass::text, relowner
                FROM pg_class
                WHERE oid = to_regclass(current_setting('pglog_audit.retained'))
                  AND relowner IN (coalesce(holder, quote_ident(current_user)::regrole), former)
                UNION
                SELECT 'VIEW', oid::regclass::text, relowner
                FROM pg_class
                WHERE oid = to_regclass(current_setting('pglog_audit.view')) AND relkind = 'v'
                UNION
                SELECT 'FUNCTION', tgfoid::regprocedure::text, proowner
                FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
                WHERE tgrelid = events AND NOT tgisinternal AND NOT prosecdef AND proowner IN (holder, former)
            ) AS part (kind, name, owned_by)
            WHERE pg_get_userbyid(owned_by) <> owner
        LOOP
            EXECUTE statement;
        END LOOP;
        acts := true;
    END IF;

    PERFORM set_config('pglog_audit.role', current_setting('role'), true);
    IF acts AND current_user <> owner AND (named IS NOT NULL OR NOT is_superuser) THEN
        -- "$user" must go on meaning who runs this.
        PERFORM set_config('search_path', visible, true), set_config('role', owner, true);
    END IF;
END
$roles$;
