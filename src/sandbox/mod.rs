//! A cloud on one machine, for trying and testing.
