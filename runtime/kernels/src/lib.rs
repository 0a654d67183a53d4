//! Compute kernels: packed integer matrix products, paged attention, a thread pool.
