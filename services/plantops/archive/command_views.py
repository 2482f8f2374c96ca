"""Views of commands for people: one row for each, and what caused what."""

from __future__ import annotations

from typing import Final

COMMANDS: Final = """
WITH asked AS (
    SELECT * FROM intent QUALIFY row_number() OVER (PARTITION BY command ORDER BY sequence) = 1
),
-- The executor's word counts before the gate's: it says what happened at the device. What it finds out later
-- takes the place of `outcome unknown`, nothing else does.
final AS (
    SELECT * FROM step WHERE is_final
    QUALIFY row_number() OVER (PARTITION BY command ORDER BY
        type IN ('command.executed', 'command.failed', 'command.outcome_unknown') DESC,
        type = 'command.outcome_unknown', sequence) = 1
),
latest AS (
    SELECT command, arg_max(type, sequence) AS type, arg_max(reason, sequence) AS reason
    FROM step WHERE type NOT IN ('command.approval_refused', 'command.generation_raised')
    GROUP BY command
),
accepted AS (
    SELECT command, count(*) AS approvals, string_agg(person, ', ' ORDER BY sequence) AS approved_by
    FROM step WHERE type = 'command.approval_accepted' GROUP BY command
),
judged AS (
    SELECT command, arg_max(person, sequence) AS person, arg_max(risk, sequence) AS risk,
           arg_max(safe_direction, sequence) AS safe_direction, arg_max(policy, sequence) AS policy
    FROM decision GROUP BY command
),
-- Only a command that was permitted has confirmed the simulation that it names.
confirming AS (
    SELECT intent.confirms AS command, arg_min(intent.handle, intent.sequence) AS confirmed_by
    FROM intent JOIN step USING (command)
    WHERE intent.confirms <> '' AND step.type = 'command.permitted' GROUP BY intent.confirms
),
made AS (
    SELECT written.command, bool_and(verified) AS verified,
           string_agg(format('{} = {}', tag, coalesce(text, printf('%.10g', value))), ', ' ORDER BY number)
               AS written
    FROM written JOIN final USING (sequence) WHERE written_at IS NOT NULL GROUP BY written.command
)
SELECT asked.handle, asked.command, asked.actor, coalesce(judged.person, '') AS person, asked.asset,
       asked.operation, asked.arguments, asked.mode, asked.reason AS why,
       coalesce(judged.risk, '') AS risk, coalesce(judged.safe_direction, false) AS safe_direction,
       asked.stored_at AS requested_at,
       replace(coalesce(final.type, latest.type, 'command.requested'), 'command.', '') AS state,
       coalesce(final.reason, 'confirmed by ' || confirmed_by, latest.reason, '') AS reason,
       final.type IS NOT NULL AS is_final, final.stored_at AS ended_at,
       coalesce(accepted.approvals, 0) AS approvals, coalesce(accepted.approved_by, '') AS approved_by,
       coalesce(made.written, '') AS written, made.verified,
       (epoch_us(final.stored_at) - epoch_us(asked.stored_at)) / 1000 AS duration_ms, final.window_ms,
       asked.confirms, coalesce(confirmed_by, '') AS confirmed_by, asked.on_behalf_of, asked.login, asked.signer, coalesce(judged.policy, '') AS policy,
       asked.correlation, asked.sequence
FROM asked LEFT JOIN final USING (command) LEFT JOIN latest USING (command)
     LEFT JOIN accepted USING (command) LEFT JOIN judged USING (command) LEFT JOIN made USING (command)
     LEFT JOIN confirming USING (command)
"""

CAUSAL_LINKS: Final = """
-- Told: the event names its cause by id.
SELECT effect.stream, effect.sequence, cause.stream AS cause_stream, cause.sequence AS cause_sequence,
       'told' AS how
FROM event AS effect JOIN event AS cause ON cause.id = effect.causation
WHERE effect.causation <> ''
UNION ALL
-- What an executor says follows from the newest order for that command.
SELECT effect.stream, effect.sequence, cause.stream, cause.sequence, 'ordered'
FROM event AS effect ASOF JOIN (
    SELECT * FROM event WHERE stream = 'COMMANDS'
    AND type IN ('command.permitted', 'command.safe_permitted', 'command.simulation_ordered')
) AS cause ON effect.command = cause.command AND effect.sequence > cause.sequence
WHERE effect.stream = 'COMMANDS' AND effect.type IN ('command.dry_run', 'command.claimed',
    'command.executed', 'command.failed', 'command.outcome_unknown')
UNION ALL
-- A person's word, and a deadline that passed, follow from what waited for them.
SELECT effect.stream, effect.sequence, cause.stream, cause.sequence, 'awaited'
FROM event AS effect ASOF JOIN (
    SELECT * FROM event WHERE stream = 'COMMANDS'
    AND type IN ('command.approval_requested', 'command.simulated', 'command.permitted')
) AS cause ON effect.command = cause.command AND effect.stored_at >= cause.stored_at
WHERE effect.type IN ('approval.received', 'timer.fired')
UNION ALL
-- A confirmation follows from the simulation that it names.
SELECT 'INTENTS', effect.sequence, cause.stream, cause.sequence, 'confirmed'
FROM (SELECT * FROM intent WHERE confirms <> '') AS effect ASOF JOIN (
    SELECT * FROM event WHERE stream = 'COMMANDS' AND type = 'command.simulated'
) AS cause ON effect.confirms = cause.command AND effect.stored_at >= cause.stored_at
"""

# Headers are not signed: a circle of causes in them must not turn a query into an endless one.
LONGEST_CHAIN: Final = 64

CAUSES: Final = f"""
WITH RECURSIVE link AS MATERIALIZED (
    SELECT stream, sequence, cause_stream, cause_sequence, min(how) AS how FROM causal_links GROUP BY ALL
),
chain AS (
    SELECT sequence AS ending, 0 AS depth, '' AS how, 'COMMANDS' AS stream, sequence
    FROM step WHERE is_final
    UNION
    SELECT ending, depth + 1, link.how, link.cause_stream, link.cause_sequence
    FROM chain JOIN link USING (stream, sequence)
    WHERE depth < {LONGEST_CHAIN}
)
SELECT ended.command, ended.type AS ended_as, chain.depth, chain.how, event.stored_at, event.type,
       event.signer, event.id, event.command AS about, event.correlation, event.stream, event.sequence,
       chain.ending
FROM chain JOIN step AS ended ON ended.sequence = chain.ending
     JOIN event ON event.stream = chain.stream AND event.sequence = chain.sequence
"""  # noqa: S608 - a number of ours
