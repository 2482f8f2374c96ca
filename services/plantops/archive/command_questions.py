"""Ready questions about commands: who, why, on what grounds, and what came of it."""

from __future__ import annotations

from typing import Final

from plantops.archive.question import COMMAND, CONVERSATION, SINCE, TAG, Question

COMMAND_QUESTIONS: Final = (
    Question(
        "commands",
        "Who commanded what, why, and how did it end?",
        """
SELECT requested_at, handle, actor, person, asset, operation, arguments, why, risk, state, reason, written
FROM commands
WHERE requested_at >= $since::TIMESTAMP
ORDER BY requested_at DESC, sequence DESC
""",
        (SINCE,),
    ),
    Question(
        "why-not",
        "Why was a command denied, cancelled or not carried out?",
        """
SELECT step.stored_at, step.type, step.reason, ruling.rule, ruling.verdict, ruling.text
FROM step LEFT JOIN ruling ON ruling.sequence = step.sequence AND ruling.verdict <> 'true'
WHERE step.command = (SELECT any_value(command) FROM intent WHERE $command IN (handle, command))
  AND (step.is_final OR step.type = 'command.approval_refused')
  AND step.type <> 'command.executed'
ORDER BY step.sequence, ruling.number
""",
        (COMMAND,),
    ),
    Question(
        "rules-that-stop",
        "Which rules stop commands, how often, and whose?",
        """
SELECT ruling.rule, count(*) AS times, count(DISTINCT decision.command) AS commands,
       string_agg(DISTINCT decision.person, ', ' ORDER BY decision.person) AS persons,
       max(decision.stored_at) AS last_at, arg_max(ruling.text, decision.sequence) AS last_text
FROM ruling JOIN decision USING (sequence)
WHERE NOT decision.allowed AND ruling.verdict <> 'true' AND decision.stored_at >= $since::TIMESTAMP
GROUP BY ruling.rule
ORDER BY times DESC, ruling.rule
""",
        (SINCE,),
    ),
    Question(
        "cause-chain",
        "What led to the end of a command, all the way back to the question, and on which tag values?",
        """
WITH RECURSIVE link AS MATERIALIZED (SELECT DISTINCT * FROM causal_links),
chain AS (
    SELECT 0 AS depth, '' AS how, 'COMMANDS' AS stream, max(sequence) AS sequence
    FROM step
    WHERE command = (SELECT any_value(command) FROM intent WHERE $command IN (handle, command))
      AND type NOT IN ('command.approval_refused', 'command.generation_raised')
    UNION
    SELECT depth + 1, link.how, link.cause_stream, link.cause_sequence
    FROM chain JOIN link USING (stream, sequence)
    WHERE depth < 64
),
rested AS (
    SELECT sequence, string_agg(format('{} = {} (frame {})', tag,
                                       coalesce(text, printf('%.10g', value), 'nothing'), frame),
                                ', ' ORDER BY number) AS rests_on
    FROM evidence WHERE sequence IN (SELECT sequence FROM chain WHERE stream = 'COMMANDS')
    GROUP BY sequence
)
SELECT chain.depth, journal.stored_at, journal.type, chain.how, journal.who, journal.says,
       coalesce(rested.rests_on, '') AS rests_on, journal.correlation, journal.stream, journal.sequence
FROM chain JOIN journal USING (stream, sequence)
     LEFT JOIN rested ON journal.stream = 'COMMANDS' AND rested.sequence = journal.sequence
ORDER BY chain.depth, journal.stored_at DESC
""",
        (COMMAND,),
    ),
    Question(
        "evidence",
        "On which tag values did the judgements of a command rest, and what stands in their frames?",
        """
WITH used AS (
    SELECT * FROM evidence
    WHERE command = (SELECT any_value(command) FROM intent WHERE $command IN (handle, command))
),
stored AS (
    SELECT sequence, series, coalesce(text, value::VARCHAR) AS value, quality FROM sample
    WHERE sequence IN (SELECT frame FROM used)
    QUALIFY row_number() OVER (PARTITION BY sequence, series ORDER BY place DESC) = 1
)
SELECT decision.stage, used.tag, coalesce(used.text, used.value::VARCHAR) AS judged, used.quality,
       round(used.age_seconds, 3) AS age_seconds, used.frame, frame.source, frame.signer, frame.stored_at,
       stored.value AS in_frame, stored.quality AS quality_in_frame, used.note
FROM used JOIN decision USING (sequence)
     LEFT JOIN frame ON frame.sequence = used.frame
     LEFT JOIN series ON series.source = frame.source AND series.tag = used.tag
     LEFT JOIN stored ON stored.sequence = used.frame AND stored.series = series.series
ORDER BY used.sequence, used.number
""",
        (COMMAND,),
    ),
    Question(
        "rulings",
        "Which rules were applied to a command, and what did each say?",
        """
SELECT decision.stage, decision.judged_at, ruling.number, ruling.rule, ruling.verdict, ruling.text
FROM ruling JOIN decision USING (sequence)
WHERE ruling.command = (SELECT any_value(command) FROM intent WHERE $command IN (handle, command))
ORDER BY ruling.sequence, ruling.number
""",
        (COMMAND,),
    ),
    Question(
        "steps",
        "What happened to a command, step by step, and how long did each take?",
        """
SELECT step.stored_at,
       (epoch_us(step.stored_at) - epoch_us(intent.stored_at)) / 1000 AS after_ms,
       step.type, step.writer, step.reason
FROM step JOIN intent USING (command)
WHERE $command IN (intent.handle, intent.command)
ORDER BY step.sequence
""",
        (COMMAND,),
    ),
    Question(
        "approvals",
        "Who approved or rejected what, and did it count?",
        """
SELECT approval.stored_at, commands.handle, commands.asset, commands.operation, commands.actor,
       approval.person, approval.verdict, approval.reason,
       CASE step.type WHEN 'command.approval_accepted' THEN 'counted: ' || step.reason
                      WHEN 'command.approval_refused' THEN 'refused: ' || step.reason
                      ELSE 'not judged' END AS gate
FROM approval
     LEFT JOIN commands ON commands.command = approval.command
     LEFT JOIN step ON step.causation = approval.id
           AND step.type IN ('command.approval_accepted', 'command.approval_refused')
WHERE approval.stored_at >= $since::TIMESTAMP
ORDER BY approval.sequence DESC
""",
        (SINCE,),
    ),
    Question(
        "waiting",
        "Which commands are open, and for what do they wait?",
        """
SELECT handle, actor, asset, operation, arguments, risk, state, reason, requested_at
FROM commands
WHERE NOT is_final AND confirmed_by = ''
ORDER BY requested_at
""",
    ),
    Question(
        "unverified-writes",
        "Which writes were not proved, and what stands there now?",
        """
SELECT written.stored_at, commands.handle, commands.actor, written.tag,
       coalesce(written.text, written.value::VARCHAR) AS wanted,
       coalesce(written.before_text, written.before_value::VARCHAR) AS before,
       coalesce(written.read_back_text, written.read_back_value::VARCHAR) AS read_back,
       written.verify, written.problem, commands.state
FROM written JOIN commands USING (command)
WHERE NOT written.verified AND written.stored_at >= $since::TIMESTAMP
ORDER BY written.stored_at DESC, written.number
""",
        (SINCE,),
    ),
    Question(
        "outcome-unknown",
        "Which commands may or may not have reached their device, so that a person must look?",
        """
SELECT handle, actor, asset, operation, arguments, requested_at, ended_at, reason
FROM commands
WHERE state = 'outcome_unknown'
ORDER BY ended_at DESC
""",
    ),
    Question(
        "writes-to-tag",
        "Who set a tag, when, from what to what?",
        """
SELECT written.written_at, commands.handle, commands.actor, commands.person, commands.why,
       coalesce(written.before_text, written.before_value::VARCHAR) AS before,
       coalesce(written.text, written.value::VARCHAR) AS value,
       written.verified, commands.state
FROM written JOIN commands USING (command)
WHERE written.tag = $tag AND written.written_at IS NOT NULL
ORDER BY written.written_at DESC
""",
        (TAG,),
    ),
    Question(
        "slowest",
        "Which commands took longest from the request to their end, and how wide was the blind window?",
        """
SELECT handle, actor, asset, operation, state, approvals, duration_ms, window_ms, requested_at
FROM commands
WHERE is_final AND requested_at >= $since::TIMESTAMP
ORDER BY duration_ms DESC, sequence
LIMIT 20
""",
        (SINCE,),
    ),
    Question(
        "stops",
        "Which commands went in the safe direction, how fast, and what did they overtake?",
        """
SELECT stops.requested_at, stops.handle, stops.actor, stops.asset, stops.operation, stops.why,
       stops.state, stops.duration_ms,
       coalesce(string_agg(overtaken.handle, ', ' ORDER BY overtaken.sequence), '') AS overtook
FROM commands AS stops
     LEFT JOIN intent ON intent.sequence = stops.sequence
     LEFT JOIN step ON step.type = 'command.cancelled' AND step.causation = intent.id
     LEFT JOIN commands AS overtaken ON overtaken.command = step.command
WHERE stops.safe_direction AND stops.requested_at >= $since::TIMESTAMP
GROUP BY ALL
ORDER BY stops.requested_at DESC
""",
        (SINCE,),
    ),
    Question(
        "policy-in-force",
        "Under which policy was each judgement made?",
        """
SELECT decision.stored_at, intent.handle, decision.stage, decision.actor, decision.asset,
       decision.operation, decision.allowed, published.revision, published.stored_at AS published_at,
       decision.policy AS digest
FROM decision
     LEFT JOIN (SELECT * FROM intent
                QUALIFY row_number() OVER (PARTITION BY command ORDER BY sequence) = 1) AS intent
            USING (command)
     LEFT JOIN (SELECT * FROM policy
                QUALIFY row_number() OVER (PARTITION BY digest ORDER BY sequence) = 1) AS published
            ON published.digest = decision.policy
WHERE decision.stored_at >= $since::TIMESTAMP
ORDER BY decision.sequence DESC
""",
        (SINCE,),
    ),
    Question(
        "conversation",
        "What was asked for in one conversation, and what came of it?",
        """
SELECT requested_at, handle, actor, person, asset, operation, arguments, why, state, reason, confirmed_by
FROM commands
WHERE correlation = $conversation
ORDER BY sequence
""",
        (CONVERSATION,),
    ),
)
