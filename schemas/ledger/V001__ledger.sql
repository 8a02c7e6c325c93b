-- The ledger: what was believed, wanted and done, as read from the topics, and the chain that proves it.
--
-- Every row of the first five tables is one event, named by (topic, partition, offset). The columns are for
-- people; `event` is the whole event. `llmopt ledger verify` derives both again from audit_chain.body, so a
-- changed, missing or invented row is found whichever column it is.
-- Instants are timestamptz; money is double precision only inside estimates, which are statistics.

CREATE TABLE findings (
    topic           text NOT NULL,
    partition       integer NOT NULL,
    "offset"        bigint NOT NULL,
    source          text NOT NULL,
    event_id        text NOT NULL,
    target          text,
    at              timestamptz NOT NULL,
    finding_id      text NOT NULL,
    segment         text NOT NULL,
    kind            text NOT NULL,
    metric          text NOT NULL,
    role            text NOT NULL,
    verdict         text NOT NULL,
    window_start_at timestamptz NOT NULL,
    window_end_at   timestamptz NOT NULL,
    reason          text NOT NULL,
    variant_id      text,
    control_id      text,
    generation      bigint NOT NULL,
    estimate        double precision,
    low             double precision,
    high            double precision,
    unit            text NOT NULL,
    level           double precision,
    n               bigint NOT NULL,
    n_control       bigint NOT NULL,
    n_effective     double precision NOT NULL,
    n_needed        bigint,
    margin          double precision,
    event           jsonb NOT NULL,
    PRIMARY KEY (topic, partition, "offset")
);
CREATE INDEX findings_by_target ON findings (target, window_end_at);
-- Ids come from outside and may be longer than an index entry: their digests are indexed.
CREATE INDEX findings_by_id ON findings (md5(finding_id));
CREATE INDEX findings_by_event ON findings (md5(source || '#' || event_id));

CREATE TABLE optimization_decisions (
    topic           text NOT NULL,
    partition       integer NOT NULL,
    "offset"        bigint NOT NULL,
    source          text NOT NULL,
    event_id        text NOT NULL,
    target          text,
    at              timestamptz NOT NULL,
    decision_id     text NOT NULL,
    segment         text NOT NULL,
    kind            text NOT NULL,
    autonomy        text NOT NULL,
    decided_at      timestamptz NOT NULL,
    reason          text NOT NULL,
    cause           text NOT NULL,
    takes_effect    boolean NOT NULL,
    generation      bigint NOT NULL,
    rollout_id      text,
    variant_id      text,
    model           text,
    incumbent_id    text,
    step            bigint NOT NULL,
    weight_bps      bigint NOT NULL,
    actor           text NOT NULL,
    findings_hash   text NOT NULL,
    alpha_promotion double precision NOT NULL,
    alpha_rollback  double precision NOT NULL,
    target_revision bigint NOT NULL,
    event           jsonb NOT NULL,
    PRIMARY KEY (topic, partition, "offset")
);
CREATE INDEX optimization_decisions_by_time ON optimization_decisions (decided_at, target);
CREATE INDEX optimization_decisions_by_event ON optimization_decisions (md5(source || '#' || event_id));

CREATE TABLE rollouts (
    topic           text NOT NULL,
    partition       integer NOT NULL,
    "offset"        bigint NOT NULL,
    source          text NOT NULL,
    event_id        text NOT NULL,
    target          text,
    at              timestamptz NOT NULL,
    -- What the event is: 'rollout.status' tells, 'rollout.command' orders; each leaves the other's columns null.
    type            text NOT NULL,
    rollout_id      text NOT NULL,
    segment         text NOT NULL,
    generation      bigint NOT NULL,
    variant_id      text,
    model           text,
    phase           text,
    ooda_state      text,
    decision_id     text,
    reason          text,
    since_at        timestamptz,
    step            bigint,
    weight_bps      bigint,
    command         text,
    event           jsonb NOT NULL,
    PRIMARY KEY (topic, partition, "offset")
);
CREATE INDEX rollouts_by_decision ON rollouts (md5(decision_id));
CREATE INDEX rollouts_by_rollout ON rollouts (md5(rollout_id));
CREATE INDEX rollouts_by_event ON rollouts (md5(source || '#' || event_id));

CREATE TABLE configurations (
    topic           text NOT NULL,
    partition       integer NOT NULL,
    "offset"        bigint NOT NULL,
    source          text NOT NULL,
    event_id        text NOT NULL,
    target          text,
    at              timestamptz NOT NULL,
    generation      bigint NOT NULL,
    decision_id     text NOT NULL,
    issued_at       timestamptz NOT NULL,
    salt            text NOT NULL,
    segmented_by    text,
    event           jsonb NOT NULL,
    PRIMARY KEY (topic, partition, "offset")
);
CREATE INDEX configurations_by_target ON configurations (target, generation);
CREATE INDEX configurations_by_decision ON configurations (md5(decision_id));
CREATE INDEX configurations_by_event ON configurations (md5(source || '#' || event_id));

-- What people and other systems told the loop: 'command', 'alert', 'target.declared'.
CREATE TABLE commands (
    topic           text NOT NULL,
    partition       integer NOT NULL,
    "offset"        bigint NOT NULL,
    source          text NOT NULL,
    event_id        text NOT NULL,
    target          text,
    at              timestamptz NOT NULL,
    type            text NOT NULL,
    command         text,
    actor           text,
    reason          text,
    segment         text,
    decision_id     text,
    severity        text,
    revision        bigint,
    event           jsonb NOT NULL,
    PRIMARY KEY (topic, partition, "offset")
);
CREATE INDEX commands_by_target ON commands (target, at);
CREATE INDEX commands_by_event ON commands (md5(source || '#' || event_id));

-- One entry for each record that was read and is worth keeping, in the order of its partition.
-- hash = SHA-256(previous ‖ canonical JSON of {"event", "offset", "partition", "topic"}); the first previous
-- is 32 zero bytes. `body` is the canonical JSON of the event (keys sorted, no spaces, UTF-8), or
-- {"unreadable": …}, {"gap": …}, {"tombstone": …}.
CREATE TABLE audit_chain (
    topic           text NOT NULL,
    partition       integer NOT NULL,
    position        bigint NOT NULL,    -- 1, 2, 3 … without a hole
    "offset"        bigint NOT NULL,
    kind            text NOT NULL,
    repeats         boolean NOT NULL,   -- the same event (source, id) was published before; it has one row only
    source          text,
    event_id        text,
    at              timestamptz,
    body            text NOT NULL,
    previous        bytea NOT NULL,
    hash            bytea NOT NULL,
    PRIMARY KEY (topic, partition, position),
    UNIQUE (topic, partition, "offset")
);

-- How far each partition has been read: reading starts here, never from committed group offsets.
CREATE TABLE audit_progress (
    topic           text NOT NULL,
    partition       integer NOT NULL,
    next_offset     bigint NOT NULL,
    position        bigint NOT NULL,
    hash            bytea NOT NULL,
    PRIMARY KEY (topic, partition)
);
