-- The shop's tables, and its verbs as functions: an attempt is one statement, so that a client
-- that stops in the middle holds nothing.
--
-- A verb first takes the lock of what it is about, until the end of its transaction. Each statement
-- after that sees all that others have done under this lock.

CREATE TABLE stock (
    sku TEXT PRIMARY KEY,
    initial BIGINT NOT NULL,
    available BIGINT NOT NULL CHECK (available >= 0)
);
CREATE TABLE reservations (
    key TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    sku TEXT,                   -- NULL where a release came first
    quantity BIGINT NOT NULL,
    released_by TEXT            -- the key of the release
);
CREATE TABLE charges (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    order_id TEXT NOT NULL,
    cents BIGINT NOT NULL,
    refunded_by TEXT            -- the key of the refund
);
CREATE INDEX charges_by_order ON charges (order_id);
CREATE TABLE refunds (
    order_id TEXT PRIMARY KEY,  -- no charge for this order is taken any more
    key TEXT NOT NULL,
    cents BIGINT NOT NULL
);
CREATE TABLE outbox (
    key TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    recipient TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE TABLE attempts (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    run TEXT NOT NULL,
    activity TEXT NOT NULL,
    started_at BIGINT NOT NULL  -- microseconds since 1970
);

-- `reserved`, `released` or `out of stock`.
CREATE FUNCTION reserve(its_key TEXT, for_order TEXT, of_sku TEXT, wanted BIGINT) RETURNS TEXT
LANGUAGE plpgsql AS $$
DECLARE
    was_released BOOLEAN;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('order_saga_shop.reservations'), hashtext(its_key));
    SELECT released_by IS NOT NULL INTO was_released FROM reservations WHERE key = its_key;
    IF FOUND THEN
        RETURN CASE WHEN was_released THEN 'released' ELSE 'reserved' END;
    END IF;
    UPDATE stock SET available = available - wanted WHERE sku = of_sku AND available >= wanted;
    IF NOT FOUND THEN
        RETURN 'out of stock';
    END IF;
    INSERT INTO reservations (key, order_id, sku, quantity) VALUES (its_key, for_order, of_sku, wanted);
    RETURN 'reserved';
END $$;

CREATE FUNCTION release(its_key TEXT, of_order TEXT, reservation TEXT) RETURNS VOID
LANGUAGE plpgsql AS $$
DECLARE
    held RECORD;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('order_saga_shop.reservations'), hashtext(reservation));
    UPDATE reservations SET released_by = its_key WHERE key = reservation AND released_by IS NULL
        RETURNING sku, quantity INTO held;
    IF FOUND THEN
        UPDATE stock SET available = available + held.quantity WHERE sku = held.sku;
    ELSE
        INSERT INTO reservations (key, order_id, quantity, released_by)
            VALUES (reservation, of_order, 0, its_key) ON CONFLICT DO NOTHING;
    END IF;
END $$;

-- The number of the payment, or why there is none: `refunded` or `declined`.
CREATE FUNCTION charge(its_key TEXT, for_order TEXT, amount BIGINT, accepted BOOLEAN, OUT refusal TEXT, OUT payment BIGINT)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('order_saga_shop.charges'), hashtext(for_order));
    IF EXISTS (SELECT FROM refunds WHERE order_id = for_order) THEN
        refusal := 'refunded';
        RETURN;
    END IF;
    SELECT id INTO payment FROM charges WHERE key = its_key;
    IF FOUND THEN
        RETURN;
    ELSIF NOT accepted THEN
        refusal := 'declined';
        RETURN;
    END IF;
    INSERT INTO charges (key, order_id, cents) VALUES (its_key, for_order, amount) RETURNING id INTO payment;
END $$;

CREATE FUNCTION refund(its_key TEXT, of_order TEXT) RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('order_saga_shop.charges'), hashtext(of_order));
    INSERT INTO refunds (order_id, key, cents)
        SELECT of_order, its_key, coalesce(sum(cents), 0) FROM charges WHERE order_id = of_order
        ON CONFLICT DO NOTHING;
    UPDATE charges SET refunded_by = its_key WHERE order_id = of_order AND refunded_by IS NULL;
END $$;
