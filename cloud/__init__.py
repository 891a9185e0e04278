"""What every room that works with Azure shares: who we are, which workspace, its client, and what its errors mean."""
