"""`atlas try`: a real pipeline on real data, its verdict, and three ways to break it. Needs the extra `demo`."""
