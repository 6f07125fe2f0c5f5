//! Where runs are kept: adapters of the storage traits.

pub mod postgres;
