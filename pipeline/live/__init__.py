"""Live: front ends, the thread that receives, the ring between it and the chain, and the chain of thread and sinks."""
