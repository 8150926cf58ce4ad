//! Full lanes over real HTTP, in real processes, judged by the sandbox's count: too long for every day,
//! `tests/long/run` runs them one by one.

mod course;

mod damage;
mod neighbours;
mod outage;
mod pause;
mod reload;
mod restart;
mod steady;
