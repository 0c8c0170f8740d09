"""Video: clips of KTH, KITTI, Caltech and any footage."""
