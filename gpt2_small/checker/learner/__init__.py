"""Write skeletons, hints and screens, and watch a learner's file."""
