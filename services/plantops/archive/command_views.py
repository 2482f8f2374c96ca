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
       asked.confirms, coalesce(confirmed_by, '') AS confirmed_by, asked.on_behalf_of, asked.login,
       asked.signer, coalesce(judged.policy, '') AS policy, asked.correlation, asked.sequence
FROM asked LEFT JOIN final USING (command) LEFT JOIN latest USING (command)
     LEFT JOIN accepted USING (command) LEFT JOIN judged USING (command) LEFT JOIN made USING (command)
     LEFT JOIN confirming USING (command)
"""

JOURNAL: Final = """
SELECT stored_at, 'INTENTS' AS stream, sequence, 'command.requested' AS type, command, actor AS who,
       format('asks {}.{} {}: {}', asset, operation, arguments, reason) AS says, correlation, id, causation
FROM intent
UNION ALL
SELECT stored_at, 'APPROVALS', sequence, 'approval.received', command, person,
       format('{}: {}', verdict, reason), '', id, causation
FROM approval
UNION ALL
SELECT step.stored_at, 'COMMANDS', step.sequence, type, step.command, writer,
       coalesce(nullif(reason, ''), 'wrote ' || made.writes, CASE WHEN allowed THEN 'all rules hold' END, ''),
       '', id, causation
FROM step LEFT JOIN decision ON decision.sequence = step.sequence
     LEFT JOIN (
         SELECT sequence, string_agg(
             format('{} = {} (was {})', tag, coalesce(text, printf('%.10g', value)),
                    coalesce(before_text, printf('%.10g', before_value), 'unknown')), ', ' ORDER BY number
         ) AS writes
         FROM written WHERE written_at IS NOT NULL GROUP BY sequence
     ) AS made ON made.sequence = step.sequence
UNION ALL
SELECT stored_at, stream, sequence, type, command, signer, '', correlation, id, causation
FROM event WHERE stream NOT IN ('INTENTS', 'APPROVALS', 'COMMANDS', 'SOURCES', 'DEAD')
"""

CAUSAL_LINKS: Final = """
-- Told: the event names its cause by id.
SELECT effect.stream, effect.sequence, cause.stream AS cause_stream, cause.sequence AS cause_sequence,
       'told' AS how
FROM journal AS effect JOIN journal AS cause ON cause.id = effect.causation
WHERE effect.causation <> ''
UNION ALL
-- What an executor says follows from the newest order for that command.
SELECT 'COMMANDS', effect.sequence, 'COMMANDS', cause.sequence, 'ordered'
FROM (
    SELECT * FROM step WHERE type IN ('command.dry_run', 'command.claimed', 'command.executed',
                                      'command.failed', 'command.outcome_unknown')
) AS effect ASOF JOIN (
    SELECT * FROM step WHERE type IN ('command.permitted', 'command.safe_permitted',
                                      'command.simulation_ordered')
) AS cause ON effect.command = cause.command AND effect.sequence > cause.sequence
UNION ALL
-- A person's word follows from what waited for it.
SELECT 'APPROVALS', effect.sequence, 'COMMANDS', cause.sequence, 'awaited'
FROM approval AS effect ASOF JOIN (
    SELECT * FROM step WHERE type = 'command.approval_requested'
) AS cause ON effect.command = cause.command AND effect.stored_at >= cause.stored_at
UNION ALL
-- A confirmation follows from the simulation that it names.
SELECT 'INTENTS', effect.sequence, 'COMMANDS', cause.sequence, 'confirmed'
FROM (SELECT * FROM intent WHERE confirms <> '') AS effect ASOF JOIN (
    SELECT * FROM step WHERE type = 'command.simulated'
) AS cause ON effect.confirms = cause.command AND effect.stored_at >= cause.stored_at
UNION ALL
-- A command expires because nobody answered what waited last.
SELECT 'COMMANDS', effect.sequence, 'COMMANDS', cause.sequence, 'unanswered'
FROM (SELECT * FROM step WHERE type = 'command.expired') AS effect ASOF JOIN (
    SELECT * FROM step WHERE type IN ('command.approval_requested', 'command.simulated',
                                      'command.permitted')
) AS cause ON effect.command = cause.command AND effect.sequence > cause.sequence
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
SELECT ended.command, ended.type AS ended_as, chain.depth, chain.how, journal.stored_at, journal.type,
       journal.who, journal.says, journal.command AS about, journal.correlation, journal.stream,
       journal.sequence, chain.ending
FROM chain JOIN step AS ended ON ended.sequence = chain.ending
     JOIN journal ON journal.stream = chain.stream AND journal.sequence = chain.sequence
"""  # noqa: S608 - a number of ours
