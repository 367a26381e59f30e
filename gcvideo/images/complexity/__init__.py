"""What networks of pictures cost: the paper's rows of ImageNet and COCO."""
