//! Who is out there: the in-process registry.
