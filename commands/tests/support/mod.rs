//! A world for process tests: scripted ports, a clock that is set by hand, faults at named points, and a driver of virtual time.
#![allow(dead_code)]
pub mod clock;
pub mod faults;
pub mod harness;
pub mod matrix;
pub mod nodes;
pub mod provider;
