//! Staying out of the way: priorities and pressure (sched_setattr(2), ioprio_set(2), /proc/pressure).
