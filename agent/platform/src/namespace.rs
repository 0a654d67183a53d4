//! Entering the namespaces of other processes (setns(2)).
