//! Test bed: real servers, clients, faults and benchmarks' reports. For tests and benchmarks only.
