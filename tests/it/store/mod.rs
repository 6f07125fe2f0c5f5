//! Storage of runs: one contract for memory and PostgreSQL, what is PostgreSQL's own, and whether the two agree.
//!
//! A test with `fault_N` in its name would find a fault of the reference (agentevals 0.11), which has these about runs:
//!
//! 1. Cancelling a running run does not stop it; it ends as succeeded.
//! 2. Writes are not fenced: a worker that lost its run overwrites what the new one writes.
//! 3. A graceful shutdown cancels runs for good.
//! 4. A storage error while a failure is written ends the worker; one in a heartbeat makes the run execute twice.
//! 6. Runs succeed without traces or with every metric errored.
//! 7. Nothing is tried again after failures that may pass, and the deadline is the same for every run.
//! 8. Pages over equal times lose and repeat runs.
//! 10. Results of an earlier attempt stay that do not apply any more.
//! 14. Results of one eval case cannot be compared over runs.
//! 16. NaN among the scores makes a run fail.

mod agreement;
mod contract;
mod postgres;

/// Makes a test of each function of the contract, once for memory and once for PostgreSQL.
macro_rules! contract {
    ($($name:ident),* $(,)?) => {
        mod in_memory {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::contract::$name(crate::support::runs::TestStore::memory().await).await;
                }
            )*
        }

        mod in_postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::contract::$name(crate::support::runs::TestStore::postgres().await).await;
                }
            )*
        }
    };
}

contract! {
    a_new_run_is_queued_with_its_first_event,
    the_same_work_under_an_id_is_the_stored_run_and_other_work_a_conflict,
    a_key_finds_the_run_submitted_under_it_before,
    one_id_twice_in_a_group_is_stored_once,
    one_key_twice_in_a_group_is_stored_once,
    a_group_of_many_is_stored_whole,
    submissions_of_one_id_at_the_same_time_store_one_run,
    a_specification_is_kept_byte_for_byte,
    labels_and_keys_may_be_any_text,
    what_does_not_exist_is_not_found,
    fault_8_pages_over_equal_times_lose_and_repeat_nothing,
    every_filter_selects_runs,
    the_most_urgent_run_is_claimed_first_then_the_oldest,
    no_more_is_claimed_than_asked_for,
    two_claimers_never_get_the_same_run,
    each_claim_has_a_new_lease_and_counts,
    a_heartbeat_tells_what_is_held_lost_and_to_be_stopped,
    a_heartbeat_keeps_a_run_from_being_lost,
    a_write_repeated_after_a_lost_answer_is_done_once,
    results_come_in_parts_before_the_end,
    fault_2_an_old_lease_writes_nothing,
    results_are_listed_by_place_with_filters_and_in_pages,
    fault_10_results_of_an_earlier_attempt_are_gone_when_the_later_one_ended,
    fault_10_results_from_before_a_release_are_gone_when_the_run_ended,
    fault_16_scores_that_are_no_numbers_do_not_fail_a_run,
    results_may_be_big_and_odd,
    records_of_many_runs_are_written_together,
    every_ending_is_read_as_it_was_written,
    a_requeued_run_waits_and_the_attempt_counts,
    a_run_that_is_to_be_stopped_is_not_requeued,
    fault_3_a_released_run_is_due_at_once_and_the_attempt_does_not_count,
    a_lost_run_is_queued_again_until_it_is_out_of_attempts,
    a_lost_run_that_is_to_be_stopped_is_cancelled,
    any_number_of_lost_runs_is_settled,
    cancelling_depends_on_the_status,
    fault_1_a_cancelled_run_is_cancelled_whatever_else_its_worker_writes,
    cancel_and_claim_at_the_same_time_never_both_lose,
    failed_and_cancelled_runs_can_be_retried,
    retries_at_the_same_time_queue_a_run_once,
    a_scan_sees_what_is_due_lost_and_next,
    events_are_numbered_without_gaps_through_every_change,
    events_of_several_runs_come_in_order_up_to_a_limit,
    numbers_beyond_all_events_and_results_find_nothing,
    the_feed_goes_on_from_any_position,
    a_reader_of_the_feed_sees_each_event_of_many_writers_once,
    the_end_of_the_feed_is_after_what_has_happened,
    every_change_is_hinted,
    the_store_says_that_it_can_be_used,
}
