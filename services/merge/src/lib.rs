//! Many workers to one view: counters, histograms, summaries, gauge modes, conflicts; pure.
