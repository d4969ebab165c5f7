"""Optional mirrors of a finished run's folder, one file each; none is part of any result's identity."""
