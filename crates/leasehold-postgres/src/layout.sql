CREATE SCHEMA leasehold;

-- One line: the version of this layout. A client that knows another one refuses to work.
CREATE TABLE leasehold.layout (version int NOT NULL);
INSERT INTO leasehold.layout VALUES (1);

-- Orders, versions and revisions. CACHE 1 (the default): with a cache a connection would use numbers that are older than another's.
CREATE SEQUENCE leasehold.revision AS bigint CACHE 1;
-- Of a sequence that was never used, last_value is the number that comes next.
SELECT nextval('leasehold.revision');

CREATE TABLE leasehold.sessions (
    id          text        COLLATE "C" PRIMARY KEY,
    namespace   text        COLLATE "C" NOT NULL,
    secret      bytea       NOT NULL,              -- sha256 of it
    incarnation text        COLLATE "C" NOT NULL,
    ttl         interval    NOT NULL,
    -- A session that never ends would hold up its queues for ever, and nobody could say when to look for its end.
    expires_at  timestamptz NOT NULL CONSTRAINT sessions_end CHECK (isfinite(expires_at))
);
CREATE INDEX sessions_by_expiry ON leasehold.sessions (expires_at);

CREATE TABLE leasehold.entries (
    queue   text   COLLATE "C" NOT NULL,
    attempt text   COLLATE "C" NOT NULL CHECK (attempt ~ '^[0-9a-f]{32}$'),
    place   bigint NOT NULL,                       -- the order
    version bigint NOT NULL,
    session text   COLLATE "C" NOT NULL REFERENCES leasehold.sessions ON DELETE CASCADE,
    mode    text   COLLATE "C" NOT NULL CHECK (mode ~ '^(x|s|p[1-9][0-9]*of[1-9][0-9]*g?)$'),
    value   bytea  NOT NULL,
    PRIMARY KEY (queue, attempt)
);
CREATE UNIQUE INDEX entries_in_order ON leasehold.entries (queue, place);
CREATE INDEX entries_by_session ON leasehold.entries (session);

CREATE TABLE leasehold.tombstones (
    queue   text COLLATE "C" NOT NULL,
    attempt text COLLATE "C" NOT NULL,
    session text COLLATE "C" NOT NULL REFERENCES leasehold.sessions ON DELETE CASCADE,
    PRIMARY KEY (queue, attempt)
);
CREATE INDEX tombstones_by_session ON leasehold.tombstones (session);

CREATE TABLE leasehold.registers (
    path    text   COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL,
    value   bytea  NOT NULL,
    op      text   COLLATE "C" NOT NULL            -- which write made it
);

-- Everything that happens to one path happens one after the other. The lock is released after the commit has become visible.
CREATE FUNCTION leasehold.alone(path text) RETURNS void LANGUAGE sql
    AS $$ SELECT pg_advisory_xact_lock(hashtextextended(path, 7235139571)) $$;
CREATE FUNCTION leasehold.aside(path text) RETURNS void LANGUAGE sql
    AS $$ SELECT pg_advisory_xact_lock_shared(hashtextextended(path, 7235139571)) $$;

-- A channel's name has at most 63 bytes; a path has more.
CREATE FUNCTION leasehold.channel(path text) RETURNS text IMMUTABLE LANGUAGE sql
    AS $$ SELECT 'leasehold_' || left(encode(sha256(convert_to(path, 'UTF8')), 'hex'), 48) $$;

-- The permits that a mode asks for, and of how many; NULL if it is no semaphore's.
CREATE FUNCTION leasehold.count_of(mode text) RETURNS bigint IMMUTABLE LANGUAGE sql
    AS $$ SELECT CASE WHEN mode LIKE 'p%' THEN split_part(substr(mode, 2), 'of', 1)::bigint END $$;
CREATE FUNCTION leasehold.limit_of(mode text) RETURNS bigint IMMUTABLE LANGUAGE sql
    AS $$ SELECT CASE WHEN mode LIKE 'p%' THEN rtrim(split_part(mode, 'of', 2), 'g')::bigint END $$;

-- Whoever changes a table, an administrator too, tells of it.
CREATE FUNCTION leasehold.tell_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM leasehold.alone(OLD.queue);
        PERFORM pg_notify(leasehold.channel(OLD.queue), format('- %s %s', nextval('leasehold.revision'), OLD.attempt));
    ELSE
        PERFORM pg_notify(leasehold.channel(NEW.queue),
            format('+ %s %s %s %s', NEW.attempt, NEW.place, NEW.version, NEW.mode));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON leasehold.entries
    FOR EACH ROW EXECUTE FUNCTION leasehold.tell_entry();

CREATE FUNCTION leasehold.tell_register() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM leasehold.alone(OLD.path);
        PERFORM pg_notify(leasehold.channel(OLD.path), format('= 0 %s', nextval('leasehold.revision')));
    ELSE
        PERFORM pg_notify(leasehold.channel(NEW.path), format('= %s %s', NEW.version, NEW.version));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON leasehold.registers
    FOR EACH ROW EXECUTE FUNCTION leasehold.tell_register();

-- NULL if the session is this incarnation's and lives; else 'lost' or 'superseded'. It keeps the session from being buried or taken over until
-- the transaction ends, and lets it be renewed.
CREATE FUNCTION leasehold.over(sid text, me text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    found leasehold.sessions;
BEGIN
    SELECT * INTO found FROM leasehold.sessions WHERE id = sid FOR KEY SHARE;
    IF found.id IS NULL THEN
        RETURN 'lost';
    ELSIF found.incarnation <> me THEN
        RETURN 'superseded';
    ELSIF found.expires_at <= clock_timestamp() THEN
        RETURN 'lost';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION leasehold.open(sid text, ns text, secret bytea, me text, ttl_ms bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO leasehold.sessions VALUES (sid, ns, sha256(secret), me, ttl_ms * interval '1 millisecond',
        clock_timestamp() + ttl_ms * interval '1 millisecond')
$$;

-- The TTL in milliseconds; or why not.
CREATE FUNCTION leasehold.resume(sid text, ns text, proof bytea, me text, OUT outcome text, OUT ttl_ms bigint) LANGUAGE plpgsql AS $$
DECLARE
    found leasehold.sessions;
BEGIN
    SELECT * INTO found FROM leasehold.sessions WHERE id = sid AND namespace = ns FOR UPDATE;
    IF found.id IS NULL OR found.expires_at <= clock_timestamp() THEN
        outcome := 'lost';
    ELSIF found.secret <> sha256(proof) THEN
        outcome := 'denied';
    ELSE
        UPDATE leasehold.sessions SET incarnation = me, expires_at = clock_timestamp() + ttl WHERE id = sid;
        outcome := 'ok';
        ttl_ms := round(extract(epoch FROM found.ttl) * 1000);
    END IF;
END $$;

CREATE FUNCTION leasehold.renew(sid text, me text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    UPDATE leasehold.sessions SET expires_at = clock_timestamp() + ttl
        WHERE id = sid AND incarnation = me AND expires_at > clock_timestamp();
    IF FOUND THEN
        RETURN 'ok';
    END IF;
    RETURN coalesce(leasehold.over(sid, me), 'lost');
END $$;

-- Removes a session and what it has. The caller has its row FOR UPDATE: nothing is added any more.
CREATE FUNCTION leasehold.bury(sid text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    path text;
BEGIN
    -- In one order, so that two burials do not wait for each other.
    FOR path IN
        SELECT queue FROM leasehold.entries WHERE session = sid
        GROUP BY queue ORDER BY hashtextextended(queue, 7235139571)
    LOOP
        PERFORM leasehold.alone(path);
    END LOOP;
    DELETE FROM leasehold.sessions WHERE id = sid;
END $$;

CREATE FUNCTION leasehold.close(sid text, me text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM leasehold.sessions WHERE id = sid AND incarnation = me FOR UPDATE;
    IF FOUND THEN
        PERFORM leasehold.bury(sid);
    END IF;
END $$;

-- Buries one session whose time is up; whether there was one.
CREATE FUNCTION leasehold.sweep() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    dead text;
BEGIN
    SELECT id INTO dead FROM leasehold.sessions WHERE expires_at <= clock_timestamp()
        ORDER BY expires_at LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF dead IS NULL THEN
        RETURN false;
    END IF;
    PERFORM leasehold.bury(dead);
    RETURN true;
END $$;

-- The entries of a queue, each as 'attempt place version mode', in order.
CREATE FUNCTION leasehold.rows(path text, most int) RETURNS text[] LANGUAGE sql AS $$
    SELECT coalesce(array_agg(format('%s %s %s %s', attempt, place, version, mode) ORDER BY place), '{}')
    FROM (SELECT * FROM leasehold.entries WHERE queue = path ORDER BY place LIMIT most) AS first_ones
$$;

CREATE FUNCTION leasehold.enqueue(sid text, me text, path text, who text, what text, content bytea, only_if_free boolean,
    OUT outcome text, OUT place bigint, OUT revision bigint, OUT contenders text[]) LANGUAGE plpgsql AS $$
DECLARE
    free boolean;
    most bigint := leasehold.limit_of(what);
BEGIN
    outcome := leasehold.over(sid, me);
    IF outcome IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM leasehold.alone(path);
    -- From here on each statement sees all that happened to this queue before, and nothing else happens to it.
    IF EXISTS (SELECT FROM leasehold.tombstones WHERE queue = path AND attempt = who) THEN
        outcome := 'withdrawn';
        RETURN;
    END IF;
    SELECT e.place INTO place FROM leasehold.entries e WHERE queue = path AND attempt = who;
    IF place IS NULL THEN
        IF only_if_free THEN
            SELECT CASE
                WHEN what = 'x' THEN count(*) = 0
                WHEN what = 's' THEN coalesce(bool_and(mode = 's'), true)
                -- Whoever has another idea of what the queue is for takes all permits.
                ELSE leasehold.count_of(what) + coalesce(sum(
                    CASE WHEN leasehold.limit_of(mode) = most THEN leasehold.count_of(mode) ELSE most END), 0) <= most
                END INTO free FROM leasehold.entries WHERE queue = path;
            IF NOT free THEN
                outcome := CASE WHEN EXISTS (SELECT FROM leasehold.entries JOIN leasehold.sessions ON id = session
                    WHERE queue = path AND expires_at <= clock_timestamp()) THEN 'stale' ELSE 'busy' END;
                IF most IS NOT NULL THEN
                    SELECT last_value INTO revision FROM leasehold.revision;
                    contenders := leasehold.rows(path, NULL);
                END IF;
                RETURN;
            END IF;
        END IF;
        place := nextval('leasehold.revision');
        INSERT INTO leasehold.entries VALUES (path, who, place, place, sid, what, content);
    END IF;
    outcome := 'placed';
    SELECT last_value INTO revision FROM leasehold.revision;
    contenders := leasehold.rows(path, 17);
    IF cardinality(contenders) > 16 THEN
        contenders := NULL;
    END IF;
END $$;

CREATE FUNCTION leasehold.withdraw(sid text, me text, path text, who text, ambiguous boolean,
    OUT outcome text, OUT revision bigint) LANGUAGE plpgsql AS $$
BEGIN
    outcome := leasehold.over(sid, me);
    IF outcome IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM leasehold.alone(path);
    IF ambiguous THEN
        INSERT INTO leasehold.tombstones VALUES (path, who, sid) ON CONFLICT DO NOTHING;
    END IF;
    DELETE FROM leasehold.entries WHERE queue = path AND attempt = who;
    IF FOUND THEN
        outcome := 'removed';
        revision := currval('leasehold.revision'); -- the trigger's
    ELSE
        outcome := 'gone';
    END IF;
END $$;

CREATE FUNCTION leasehold.publish(sid text, me text, path text, who text, what text, content bytea, if_version bigint,
    OUT outcome text, OUT revision bigint) LANGUAGE plpgsql AS $$
DECLARE
    there bigint;
BEGIN
    outcome := leasehold.over(sid, me);
    IF outcome IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM leasehold.alone(path);
    SELECT version INTO there FROM leasehold.entries WHERE queue = path AND attempt = who;
    IF there IS NULL THEN
        outcome := 'none';
    ELSIF there <> if_version THEN
        outcome := 'differs';
    ELSE
        revision := nextval('leasehold.revision');
        UPDATE leasehold.entries SET mode = what, value = content, version = revision WHERE queue = path AND attempt = who;
        outcome := 'done';
    END IF;
END $$;

-- A whole listing, as of a revision: later changes of this queue have greater ones, and earlier ones are in it. Also in how many
-- milliseconds a session with entries here may be over.
CREATE FUNCTION leasehold.load(path text, own text, OUT revision bigint, OUT contenders text[], OUT expires_in_ms bigint) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM leasehold.aside(path);
    SELECT last_value INTO revision FROM leasehold.revision;
    contenders := leasehold.rows(path, NULL);
    SELECT ceil(extract(epoch FROM min(expires_at) - clock_timestamp()) * 1000) INTO expires_in_ms
        FROM leasehold.entries JOIN leasehold.sessions ON id = session WHERE queue = path AND session <> own;
END $$;

CREATE FUNCTION leasehold.write(sid text, me text, where_to text, content bytea, this_op text, if_version bigint, held_in text, held_by text,
    OUT outcome text, OUT written bigint) LANGUAGE plpgsql AS $$
DECLARE
    there bigint;
BEGIN
    outcome := leasehold.over(sid, me);
    IF outcome IS NOT NULL THEN
        RETURN;
    END IF;
    IF held_in IS NOT NULL THEN
        -- Nobody is removed from that queue meanwhile.
        PERFORM leasehold.aside(held_in);
        IF NOT EXISTS (SELECT FROM leasehold.entries JOIN leasehold.sessions ON id = session
            WHERE queue = held_in AND attempt = held_by AND expires_at > clock_timestamp()) THEN
            outcome := 'not-held';
            RETURN;
        END IF;
    END IF;
    PERFORM leasehold.alone(where_to);
    SELECT version INTO there FROM leasehold.registers WHERE path = where_to;
    IF coalesce(there, 0) <> if_version THEN
        outcome := 'differs';
        RETURN;
    END IF;
    written := nextval('leasehold.revision');
    INSERT INTO leasehold.registers VALUES (where_to, written, content, this_op)
        ON CONFLICT (path) DO UPDATE SET version = written, value = content, op = this_op;
    outcome := 'written';
END $$;

-- The version that a write has made, if the register still shows it.
CREATE FUNCTION leasehold.written_by(this_op text, where_to text) RETURNS bigint LANGUAGE sql AS $$
    SELECT version FROM leasehold.registers WHERE path = where_to AND op = this_op
$$;

-- The version of a register as of a revision.
CREATE FUNCTION leasehold.load_register(where_to text, OUT version bigint, OUT revision bigint) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM leasehold.aside(where_to);
    SELECT last_value INTO revision FROM leasehold.revision;
    SELECT coalesce((SELECT r.version FROM leasehold.registers r WHERE path = where_to), 0) INTO version;
END $$;

-- Takes effect with the commit; answers how the channel is called.
CREATE FUNCTION leasehold.listen(path text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('LISTEN %I', leasehold.channel(path));
    RETURN leasehold.channel(path);
END $$;

CREATE FUNCTION leasehold.unlisten(path text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('UNLISTEN %I', leasehold.channel(path));
END $$;

-- Which of these entries do not exist, and in how many milliseconds one of the others may be over.
CREATE FUNCTION leasehold.look(paths text[], attempts text[], own text, OUT gone int[], OUT expires_in_ms bigint) LANGUAGE sql AS $$
    SELECT coalesce(array_agg(n::int) FILTER (WHERE e.attempt IS NULL), '{}'),
        ceil(extract(epoch FROM min(expires_at) FILTER (WHERE e.session <> own) - clock_timestamp()) * 1000)
    FROM unnest(paths, attempts) WITH ORDINALITY AS asked (path, who, n)
    LEFT JOIN leasehold.entries e ON e.queue = path AND e.attempt = who
    LEFT JOIN leasehold.sessions s ON s.id = e.session
$$;
