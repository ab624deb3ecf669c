"""What can be found anywhere in a text: the detectors by name, and the compiled search (`find_scan.h`)."""
