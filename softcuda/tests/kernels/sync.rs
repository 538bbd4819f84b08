//! Barriers of some threads, blocks that wait for each other, asynchronous copies.

use crate::cases::sync;
use crate::support::on_each;

#[test]
fn producer_and_consumers() {
    on_each("sync", sync::producer_and_consumers);
}

#[test]
fn barriers_of_half_a_block() {
    on_each("sync", sync::barriers_of_half_a_block);
}

#[test]
fn a_barrier_for_the_grid() {
    on_each("sync", sync::a_barrier_for_the_grid);
}

#[test]
fn a_message_between_blocks() {
    on_each("sync", sync::a_message_between_blocks);
}

#[test]
fn asynchronous_copies() {
    on_each("sync", sync::asynchronous_copies);
}
