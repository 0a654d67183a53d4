//! File access notification and permission events (fanotify(7)).
