"""How fast it is: frozen cases, per stage and end to end, and other people's beamformers in the same run."""
