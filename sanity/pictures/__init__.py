"""Pictures: what the checks of pictures of units share: the study, its natural images, likeness, crossing and rulings."""
