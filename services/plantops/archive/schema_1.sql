-- Schema 1, as it was released. A released step is never edited: a change is a further step.

CREATE TABLE layout (
    source VARCHAR NOT NULL,
    layout VARCHAR NOT NULL,
    sequence BIGINT NOT NULL,
    body VARCHAR NOT NULL
);

CREATE TABLE series (
    series INTEGER NOT NULL,
    source VARCHAR NOT NULL,
    tag VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    unit VARCHAR NOT NULL,
    description VARCHAR NOT NULL,
    area VARCHAR NOT NULL,
    period_ms INTEGER NOT NULL,
    low DOUBLE,
    high DOUBLE,
    layout VARCHAR NOT NULL
);

CREATE TABLE frame (
    sequence BIGINT NOT NULL,
    stored_at TIMESTAMP NOT NULL,
    source VARCHAR NOT NULL,
    epoch BIGINT NOT NULL,
    number BIGINT NOT NULL,
    observed_at TIMESTAMP NOT NULL,
    layout VARCHAR NOT NULL,
    samples INTEGER NOT NULL,
    good INTEGER NOT NULL,
    historical BOOLEAN NOT NULL,
    signer VARCHAR NOT NULL
);

CREATE TABLE sample (
    series INTEGER NOT NULL,
    observed_at TIMESTAMP NOT NULL,
    value DOUBLE,
    text VARCHAR,
    quality UTINYINT NOT NULL,
    source_lag BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    place USMALLINT NOT NULL
);

CREATE TABLE rollup_1s (
    series INTEGER NOT NULL,
    bucket TIMESTAMP NOT NULL,
    samples BIGINT NOT NULL,
    good BIGINT NOT NULL,
    uncertain BIGINT NOT NULL,
    numbers BIGINT NOT NULL,
    minimum DOUBLE,
    maximum DOUBLE,
    total DOUBLE,
    last_value DOUBLE,
    last_text VARCHAR,
    last_quality UTINYINT NOT NULL,
    last_at TIMESTAMP NOT NULL
);

CREATE TABLE rollup_1m (
    series INTEGER NOT NULL,
    bucket TIMESTAMP NOT NULL,
    samples BIGINT NOT NULL,
    good BIGINT NOT NULL,
    uncertain BIGINT NOT NULL,
    numbers BIGINT NOT NULL,
    minimum DOUBLE,
    maximum DOUBLE,
    total DOUBLE,
    last_value DOUBLE,
    last_text VARCHAR,
    last_quality UTINYINT NOT NULL,
    last_at TIMESTAMP NOT NULL
);

CREATE TABLE rollup_1h (
    series INTEGER NOT NULL,
    bucket TIMESTAMP NOT NULL,
    samples BIGINT NOT NULL,
    good BIGINT NOT NULL,
    uncertain BIGINT NOT NULL,
    numbers BIGINT NOT NULL,
    minimum DOUBLE,
    maximum DOUBLE,
    total DOUBLE,
    last_value DOUBLE,
    last_text VARCHAR,
    last_quality UTINYINT NOT NULL,
    last_at TIMESTAMP NOT NULL
);

CREATE TABLE event (
    stream VARCHAR NOT NULL,
    sequence BIGINT NOT NULL,
    stored_at TIMESTAMP NOT NULL,
    subject VARCHAR NOT NULL,
    type VARCHAR NOT NULL,
    version USMALLINT NOT NULL,
    id VARCHAR NOT NULL,
    signer VARCHAR NOT NULL,
    causation VARCHAR NOT NULL,
    correlation VARCHAR NOT NULL,
    command VARCHAR NOT NULL,
    body VARCHAR NOT NULL
);

CREATE TABLE unread (
    stream VARCHAR NOT NULL,
    sequence BIGINT NOT NULL,
    stored_at TIMESTAMP NOT NULL,
    subject VARCHAR NOT NULL,
    type VARCHAR NOT NULL,
    cause VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    headers VARCHAR NOT NULL,
    data BLOB NOT NULL
);

CREATE TABLE hole (
    stream VARCHAR NOT NULL,
    first BIGINT NOT NULL,
    last BIGINT NOT NULL,
    stored_at TIMESTAMP NOT NULL,
    cause VARCHAR NOT NULL
);

CREATE TABLE gap (
    sequence BIGINT NOT NULL,
    stored_at TIMESTAMP NOT NULL,
    source VARCHAR NOT NULL,
    epoch BIGINT NOT NULL,
    first BIGINT NOT NULL,
    last BIGINT NOT NULL,
    frames BIGINT NOT NULL,
    samples BIGINT NOT NULL,
    cause VARCHAR NOT NULL
);

CREATE TABLE source_state (
    sequence BIGINT NOT NULL,
    stored_at TIMESTAMP NOT NULL,
    source VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    epoch BIGINT NOT NULL,
    owner VARCHAR NOT NULL,
    detail VARCHAR NOT NULL
);

CREATE TABLE intent (
    sequence BIGINT NOT NULL,
    stored_at TIMESTAMP NOT NULL,
    command VARCHAR NOT NULL,
    handle VARCHAR NOT NULL,
    actor VARCHAR NOT NULL,
    login VARCHAR NOT NULL,
    signer VARCHAR NOT NULL,
    on_behalf_of VARCHAR NOT NULL,
    asset VARCHAR NOT NULL,
    operation VARCHAR NOT NULL,
    arguments VARCHAR NOT NULL,
    mode VARCHAR NOT NULL,
    confirms VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    digest VARCHAR NOT NULL,
    correlation VARCHAR NOT NULL,
    id VARCHAR NOT NULL,
    causation VARCHAR NOT NULL
);

CREATE TABLE step (
    sequence BIGINT NOT NULL,
    stored_at TIMESTAMP NOT NULL,
    command VARCHAR NOT NULL,
    type VARCHAR NOT NULL,
    writer VARCHAR NOT NULL,
    is_final BOOLEAN NOT NULL,
    reason VARCHAR NOT NULL,
    person VARCHAR NOT NULL,
    window_ms DOUBLE,
    id VARCHAR NOT NULL,
    causation VARCHAR NOT NULL
);

CREATE TABLE decision (
    sequence BIGINT NOT NULL,
    stored_at TIMESTAMP NOT NULL,
    command VARCHAR NOT NULL,
    stage VARCHAR NOT NULL,
    judged_at TIMESTAMP NOT NULL,
    allowed BOOLEAN NOT NULL,
    asset VARCHAR NOT NULL,
    operation VARCHAR NOT NULL,
    actor VARCHAR NOT NULL,
    person VARCHAR NOT NULL,
    risk VARCHAR NOT NULL,
    safe_direction BOOLEAN NOT NULL,
    policy VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    digest VARCHAR NOT NULL
);

CREATE TABLE ruling (
    sequence BIGINT NOT NULL,
    stored_at TIMESTAMP NOT NULL,
    command VARCHAR NOT NULL,
    number USMALLINT NOT NULL,
    rule VARCHAR NOT NULL,
    verdict VARCHAR NOT NULL,
    text VARCHAR NOT NULL
);

CREATE TABLE evidence (
    sequence BIGINT NOT NULL,
    stored_at TIMESTAMP NOT NULL,
    command VARCHAR NOT NULL,
    number USMALLINT NOT NULL,
    tag VARCHAR NOT NULL,
    value DOUBLE,
    text VARCHAR,
    quality UTINYINT NOT NULL,
    age_seconds DOUBLE,
    source_time TIMESTAMP,
    frame BIGINT NOT NULL,
    note VARCHAR NOT NULL
);

CREATE TABLE written (
    sequence BIGINT NOT NULL,
    stored_at TIMESTAMP NOT NULL,
    command VARCHAR NOT NULL,
    number USMALLINT NOT NULL,
    tag VARCHAR NOT NULL,
    value DOUBLE,
    text VARCHAR,
    before_value DOUBLE,
    before_text VARCHAR,
    before_quality UTINYINT NOT NULL,
    written_at TIMESTAMP,
    read_back_value DOUBLE,
    read_back_text VARCHAR,
    verified BOOLEAN NOT NULL,
    problem VARCHAR NOT NULL,
    verify VARCHAR NOT NULL
);

CREATE TABLE approval (
    sequence BIGINT NOT NULL,
    stored_at TIMESTAMP NOT NULL,
    command VARCHAR NOT NULL,
    person VARCHAR NOT NULL,
    login VARCHAR NOT NULL,
    signer VARCHAR NOT NULL,
    verdict VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    intent VARCHAR NOT NULL,
    decision VARCHAR NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    id VARCHAR NOT NULL,
    causation VARCHAR NOT NULL
);

CREATE TABLE policy (
    sequence BIGINT NOT NULL,
    stored_at TIMESTAMP NOT NULL,
    revision BIGINT NOT NULL,
    digest VARCHAR NOT NULL,
    envelope VARCHAR NOT NULL
);

CREATE TABLE finding (
    sequence BIGINT NOT NULL,
    stored_at TIMESTAMP NOT NULL,
    analyser VARCHAR NOT NULL,
    type VARCHAR NOT NULL,
    body VARCHAR NOT NULL
);

CREATE TABLE audit (
    position BIGINT NOT NULL,
    writer VARCHAR NOT NULL,
    number BIGINT NOT NULL,
    recorded_at TIMESTAMP,
    kind VARCHAR NOT NULL,
    command VARCHAR NOT NULL,
    previous VARCHAR NOT NULL,
    leaf VARCHAR NOT NULL,
    body VARCHAR NOT NULL
);

CREATE TABLE checkpoint (
    sequence BIGINT NOT NULL,
    stored_at TIMESTAMP NOT NULL,
    size BIGINT NOT NULL,
    root VARCHAR NOT NULL,
    findings BIGINT NOT NULL,
    refusal VARCHAR NOT NULL,
    note VARCHAR NOT NULL
);

CREATE TABLE parquet_file (
    path VARCHAR NOT NULL,
    table_name VARCHAR NOT NULL,
    stream VARCHAR NOT NULL,
    created VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    hour TIMESTAMP NOT NULL,
    up_to BIGINT NOT NULL,
    rows BIGINT NOT NULL,
    first BIGINT NOT NULL,
    last BIGINT NOT NULL,
    first_at TIMESTAMP NOT NULL,
    last_at TIMESTAMP NOT NULL,
    bytes BIGINT NOT NULL,
    sha256 VARCHAR NOT NULL,
    manifest VARCHAR NOT NULL
);

CREATE TABLE position (
    stream VARCHAR NOT NULL,
    sequence BIGINT NOT NULL,
    created VARCHAR NOT NULL,
    stored_at TIMESTAMP NOT NULL
);

CREATE TABLE about (
    name VARCHAR NOT NULL,
    value VARCHAR NOT NULL
);
